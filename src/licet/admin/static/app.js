// What every page does in the browser: times in the reader's zone, countdowns, menus, the choice of colours.
//
// The server writes each instant as <time datetime="..." data-time="FORM">; `licet.localise` puts it into
// words. Countdowns run on the server's clock: <meta name="now"> says what it showed when the page was made.
"use strict";

const licet = (() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
  const dayOfYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
  const exact = new Intl.DateTimeFormat("en-GB", {
    weekday: "short", day: "numeric", month: "short", year: "numeric",
    hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZoneName: "short",
  });

  const utc = new Intl.DateTimeFormat("en-GB", {
    day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
    hourCycle: "h23", timeZone: "UTC", timeZoneName: "short",
  });

  let ahead = 0; // how far the server's clock is ahead of this one
  const hear = (serverNow) => { if (serverNow) ahead = serverNow - Date.now(); };
  const now = () => Date.now() + ahead;

  const sameDay = (a, b) => dayOfYear.format(a) === dayOfYear.format(b);

  function clockText(at) {
    if (sameDay(at, now())) return clock.format(at);
    return `${dayText(at)}, ${clock.format(at)}`;
  }

  function dayText(at) {
    return new Date(at).getFullYear() === new Date(now()).getFullYear() ? day.format(at) : dayOfYear.format(at);
  }

  function agoText(at) {
    const seconds = Math.round((now() - at) / 1000);
    const size = Math.abs(seconds);
    const [count, unit] = size < 60 ? [size, "s"] : size < 3600 ? [Math.floor(size / 60), "min"]
      : size < 86400 ? [Math.floor(size / 3600), "h"] : [Math.floor(size / 86400), "d"];
    if (count > 30 && unit === "d") return dayText(at);
    if (size < 5) return "now";
    return seconds < 0 ? `in ${count} ${unit}` : `${count} ${unit} ago`;
  }

  function countdownText(at) {
    const seconds = Math.max(0, Math.ceil((at - now()) / 1000));
    if (seconds < 60) return `${seconds} s`;
    const minutes = Math.ceil(seconds / 60);
    if (minutes < 60) return `${minutes} min`;
    if (minutes < 2880) return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
    return `${Math.floor(minutes / 1440)} days`;
  }

  // When something ends, behind "expires": a midnight is the end of the day before.
  function endText(at) {
    const time = clock.format(at);
    if (isMidnight(at)) {
      const last = at - 1;
      return sameDay(last, now()) ? "at the end of today" : `at the end of ${dayText(last)}`;
    }
    return sameDay(at, now()) ? `today at ${time}` : `on ${dayText(at)} at ${time}`;
  }

  // The same where only a date has room: its last day, and the time where it ends within a day.
  const lastText = (at) => isMidnight(at) ? dayText(at - 1) : `${dayText(at)}, ${clock.format(at)}`;

  function isMidnight(at) {
    const date = new Date(at);
    return date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0;
  }

  const FORMS = {
    clock: clockText,
    hour: (at) => clock.format(at),
    day: dayText,
    ago: agoText,
    in: countdownText,
    end: endText,
    last: lastText,
    moment: (at) => `${dayText(at)}, ${clock.format(at)}`,
    exact: (at) => exact.format(at),
  };

  function say(element) {
    const at = Date.parse(element.dateTime);
    const write = FORMS[element.dataset.time];
    if (!write || Number.isNaN(at)) return;
    const text = write(at);
    if (element.textContent !== text) element.textContent = text;
    if (element.dataset.time === "in") element.closest("[data-ends]")?.classList.toggle("gone", at <= now());
  }

  function localise(root = document) {
    for (const element of root.querySelectorAll("time[data-time]")) {
      const at = Date.parse(element.dateTime);
      const title = `${exact.format(at)} = ${utc.format(at)}`;
      if (element.title !== title) element.title = title;
      say(element);
    }
    for (const field of root.querySelectorAll("input[data-zone]")) field.value = zone;
  }

  function tick() {
    for (const element of document.querySelectorAll('time[data-time="in"], time[data-time="ago"]')) say(element);
  }

  // A word for who listens instead of looking.
  function announce(text) {
    const place = document.getElementById("live-word");
    if (place && place.textContent !== text) place.textContent = text;
  }

  function menus() {
    document.addEventListener("click", (event) => {
      for (const menu of document.querySelectorAll("details[data-menu][open]")) {
        if (!menu.contains(event.target)) menu.open = false;
      }
    });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      const menu = event.target.closest?.("details[data-menu][open]");
      if (menu) {
        menu.open = false;
        menu.querySelector("summary").focus();
      }
    });
  }

  function colours() {
    const choice = document.querySelector("[data-theme-switch]");
    if (!choice) return;
    choice.hidden = false;
    const chosen = document.documentElement.dataset.theme || "";
    for (const radio of choice.querySelectorAll("input")) {
      radio.checked = radio.value === chosen;
      radio.addEventListener("change", () => {
        if (radio.value) document.documentElement.dataset.theme = radio.value;
        else delete document.documentElement.dataset.theme;
        try {
          localStorage.setItem("licet-theme", radio.value);
        } catch { /* Then it is for this page only. */ }
        document.dispatchEvent(new Event("licet:colours"));
      });
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      document.dispatchEvent(new Event("licet:colours"));
    });
  }

  function keys() {
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest?.("input, textarea, select, [contenteditable]")) return;
      if (event.key === "?") document.querySelector("[data-help]")?.click();
      if (event.key !== "/") return;
      const search = document.getElementById("search");
      if (search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    });
  }

  // A button that copies the text of the element it names: <button data-copy="#secret">.
  function copying() {
    document.addEventListener("click", async (event) => {
      const button = event.target.closest?.("button[data-copy]");
      if (!button) return;
      const from = document.querySelector(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(from.value ?? from.textContent.trim());
        button.textContent = "Copied";
        announce("Copied");
      } catch {
        const range = document.createRange(); // no clipboard without TLS: then it is marked, ready for Ctrl-C
        range.selectNodeContents(from);
        getSelection().removeAllRanges();
        getSelection().addRange(range);
      }
    });
  }

  // A button that empties the fields of a group: <button data-empties="#f-expires" hidden>.
  function emptying() {
    for (const button of document.querySelectorAll("button[data-empties]")) {
      button.hidden = false;
      button.addEventListener("click", () => {
        for (const field of document.querySelectorAll(`${button.dataset.empties} input`)) field.value = "";
      });
    }
  }

  // The server begins the reader's day by his clocks.
  function tellZone() {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `licet-zone=${encodeURIComponent(zone)}; Path=/; Max-Age=31536000; SameSite=Strict${secure}`;
  }

  // A form that came back after a sign-in stands at its own address.
  function settle() {
    const path = document.querySelector('meta[name="path"]')?.content;
    if (path) history.replaceState(null, "", path);
  }

  function start() {
    document.querySelector(".pages [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    tellZone();
    settle();
    hear(Number(document.querySelector('meta[name="now"]')?.content));
    menus();
    colours();
    keys();
    copying();
    emptying();
    localise();
    setInterval(tick, 1000);
    document.addEventListener("htmx:after:swap", () => localise());
    document.addEventListener("htmx:error", () => announce("The server did not answer. What you see may be old."));
  }

  start();
  return { clock, exact, hear, localise, now, announce };
})();
