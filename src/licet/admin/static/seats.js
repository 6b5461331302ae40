// The list of seats: holders open to their sessions, rows are chosen, and the list follows by itself.
"use strict";
(() => {
  const GAP_MS = 2000;
  let due = false;
  let last = 0;

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-opens]");
    if (!button) return;
    const group = document.getElementById(button.dataset.opens);
    const isOpen = group.toggleAttribute("data-open");
    button.setAttribute("aria-expanded", String(isOpen));
  });

  const boxes = () => [...document.querySelectorAll("#choose tbody input[type=checkbox]")];

  function count() {
    const chosen = boxes().filter((it) => it.checked).length;
    const button = document.querySelector("[data-chosen]");
    if (button) {
      button.disabled = !chosen;
      const text = chosen ? `End ${chosen} chosen` : "End chosen";
      if (button.textContent !== text) button.textContent = text;
    }
    const all = document.querySelector("[data-all]");
    if (all) {
      all.hidden = false;
      all.checked = chosen > 0 && chosen === boxes().length;
      all.indeterminate = chosen > 0 && !all.checked;
    }
  }

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-all]")) for (const it of boxes()) it.checked = event.target.checked;
    if (event.target.closest("#choose")) count();
    if (event.target.matches("#filters select")) event.target.form.requestSubmit();
  });

  function renew() {
    const wait = last + GAP_MS - Date.now();
    if (document.hidden || wait > 0) {
      if (!due && !document.hidden) setTimeout(renew, wait);
      due = true;
      return;
    }
    due = false;
    last = Date.now();
    htmx.ajax("GET", location.pathname + location.search, {
      source: "#list", target: "#list", select: "#list", swap: "outerMorph ignoreTitle:true",
      headers: { "X-Licet-Follows": "1" }, // asked by the page itself: that keeps nobody signed in
    });
  }

  document.addEventListener("visibilitychange", () => { if (!document.hidden && due) renew(); });
  document.addEventListener("htmx:after:swap", () => {
    count();
    const text = document.getElementById("list")?.dataset.headline;
    const heading = document.querySelector("h1");
    if (text && heading.textContent !== text) {
      heading.textContent = text;
      document.title = `${text} · Licet`;
      licet.announce(text);
    }
  });

  function follow() {
    const source = new EventSource(document.getElementById("list").dataset.follow);
    source.addEventListener("shown", (event) => {
      if (JSON.parse(event.data).mark !== document.getElementById("list").dataset.mark) renew();
    });
    source.addEventListener("ended", () => {
      source.close();
      location.assign(`/sign-in?then=${encodeURIComponent(location.pathname + location.search)}`);
    });
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) setTimeout(follow, 15000);
    });
    addEventListener("pagehide", () => source.close(), { once: true });
  }

  count();
  follow();
})();
