// The overview follows by itself: the server sends what it shows when that has changed.
"use strict";
(() => {
  const place = document.querySelector("[data-live]");
  const heading = document.querySelector("h1");
  const word = document.createElement("p");
  word.className = "warn";
  word.hidden = true;
  place.before(word);
  let announced = 0;

  function say(text) {
    word.hidden = !text;
    word.textContent = text;
    if (text) licet.announce(text);
  }

  async function show(news) {
    licet.hear(news.now);
    await htmx.swap({ sourceElement: place, target: place, text: news.html, swap: "innerMorph ignoreTitle:true" });
    if (heading.textContent !== news.headline) {
      heading.textContent = news.headline;
      document.title = `${news.headline} · Licet`;
      if (Date.now() - announced > 20000) { // who listens need not hear every seat
        announced = Date.now();
        licet.announce(news.headline);
      }
    }
    say("");
  }

  function follow() {
    const source = new EventSource(place.dataset.live);
    source.addEventListener("shown", (event) => show(JSON.parse(event.data)));
    source.addEventListener("down", () => say("The store does not answer. What you see may be old."));
    source.addEventListener("ended", () => {
      source.close();
      location.assign(`/sign-in?then=${encodeURIComponent(location.pathname + location.search)}`);
    });
    source.addEventListener("open", () => say(""));
    source.addEventListener("error", () => {
      say("No connection to the server. What you see may be old.");
      if (source.readyState === EventSource.CLOSED) setTimeout(follow, 15000);
    });
    addEventListener("pagehide", () => source.close(), { once: true });
  }

  follow();
})();
