"use strict";
// Keeps a page with data-live up to date: asks for the page again and changes only what differs, so that
// focus, selection and opened parts stay as they are. Asks nothing while nobody looks.

(() => {
  const part = document.querySelector("[data-live]");
  if (!part) return;
  const offline = document.getElementById("offline");
  let last = "";
  let busy = false;

  function morphAttributes(old, fresh) {
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value && !(old.nodeName === "DETAILS" && name === "open")) {
        old.setAttribute(name, value);
      }
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !(old.nodeName === "DETAILS" && name === "open")) {
        old.removeAttribute(name);
      }
    }
  }

  function morph(old, fresh) {
    morphAttributes(old, fresh);
    const named = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
    let place = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      let match = child.id ? named.get(child.id) : null;
      if (!child.id && place && !place.id && place.nodeName === child.nodeName) match = place;
      if (!match) {
        old.insertBefore(child, place);
        continue;
      }
      if (match === place) place = place.nextSibling;
      else old.insertBefore(match, place);
      if (child.nodeType === Node.ELEMENT_NODE) morph(match, child);
      else if (match.data !== child.data) match.data = child.data;
    }
    while (place) {
      const next = place.nextSibling;
      place.remove();
      place = next;
    }
  }

  async function refresh() {
    if (document.hidden || busy) return;
    busy = true;
    const address = location.href;
    try {
      const answer = await fetch(address, { headers: { "X-CallStash-Live": "1" } });
      if (answer.status === 401) return location.reload();
      if (!answer.ok) throw new Error(String(answer.status));
      const text = await answer.text();
      offline.hidden = true;
      if (text !== last) {
        const page = new DOMParser().parseFromString(text, "text/html");
        morph(part, page.querySelector("[data-live]"));
        last = text;
      }
    } catch {
      offline.hidden = false;
    } finally {
      busy = false;
      if (address !== location.href) refresh();
    }
  }

  // What is typed into a form with data-find becomes the address of the list below it.
  const find = document.querySelector("form[data-find]");
  find?.addEventListener("input", () => {
    history.replaceState(null, "", `?${new URLSearchParams(new FormData(find))}`);
    refresh();
  });

  setInterval(refresh, 2000);
  document.addEventListener("visibilitychange", refresh);
})();
