# Run in the tree of the appliance with the package: install it, then forget what no two machines
# may share. callstash-identity and callstash-setup make all of it again at the first boot.
set -eu
apt-get install --yes --no-install-recommends "$1"
systemctl enable callstash-identity.service callstash-first-steps.service
rm -f /etc/ssh/ssh_host_* /etc/ssl/private/ssl-cert-snakeoil.key /var/lib/rabbitmq/.erlang.cookie
rm -rf /var/lib/rabbitmq/mnesia /var/lib/systemd/random-seed /var/lib/dbus/machine-id
rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/* /var/log/*.log /var/log/apt
: > /etc/machine-id
made=$(find /etc/callstash/credentials /etc/callstash/tls -type f 2>/dev/null || true)
if [ -n "$made" ]; then
    echo "there are keys in the image: $made"
    exit 1
fi
