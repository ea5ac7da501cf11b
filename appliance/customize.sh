# Run by mmdebstrap with the directory of the new Debian: what its packages do not set.
set -eu
root="$1"
printf 'callstash\n' > "$root/etc/hostname"
printf '127.0.0.1 localhost\n127.0.1.1 callstash\n::1 localhost ip6-localhost ip6-loopback\n' > "$root/etc/hosts"
printf 'LABEL=callstash-root / ext4 defaults,errors=remount-ro 0 1\n' > "$root/etc/fstab"
printf 'LANG=C.UTF-8\n' > "$root/etc/default/locale"
sed -i 's/^MODULES=.*/MODULES=most/' "$root/etc/initramfs-tools/initramfs.conf"
chroot "$root" update-initramfs -u
chroot "$root" systemctl enable systemd-networkd
ln -sf /run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
sed -i 's/^GRUB_CMDLINE_LINUX=.*/GRUB_CMDLINE_LINUX="console=ttyS0 console=tty0 systemd.show_status=no"/' "$root/etc/default/grub"
mkdir -p "$root/boot/grub/i386-pc"
cp "$root"/usr/lib/grub/i386-pc/*.mod "$root"/usr/lib/grub/i386-pc/*.lst "$root/boot/grub/i386-pc"
# update-grub writes another at the first update of the kernel, when the disk is there to be asked
cat > "$root/boot/grub/grub.cfg" <<'END'
set timeout=2
search --set=root --label callstash-root
menuentry CallStash {
    linux /vmlinuz root=LABEL=callstash-root ro quiet console=ttyS0 console=tty0 systemd.show_status=no
    initrd /initrd.img
}
END
