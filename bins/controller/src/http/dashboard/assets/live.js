// Keeps the part of a page with the id "live" up to date: the server sends it anew when it changes.
"use strict";
(() => {
  const live = document.getElementById("live");
  const state = document.getElementById("freshness");
  if (!live || !state) return;

  const STALE_AFTER = 6_000;
  const RETRY_AFTER = 2_000;
  const options = {
    morphStyle: "innerHTML",
    callbacks: {
      // What people opened stays open.
      beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS"),
    },
  };
  let source = null;
  let retry = 0;
  let last = new Date();

  const show = (name, text) => {
    // Changed only when there is news, so that a screen reader is not told every second.
    if (state.textContent === text) return;
    state.dataset.state = name;
    state.textContent = text;
  };
  const fresh = () => {
    last = new Date();
    show("live", "Live");
  };
  const close = () => {
    clearTimeout(retry);
    source?.close();
    source = null;
  };
  const open = () => {
    close();
    source = new EventSource(location.pathname + location.search);
    source.addEventListener("page", (event) => {
      Idiomorph.morph(live, JSON.parse(event.data), options);
      fresh();
    });
    source.addEventListener("same", fresh);
    source.addEventListener("error", () => {
      // The browser connects again by itself, but not after an answer other than a stream.
      if (source?.readyState !== EventSource.CLOSED) return;
      close();
      retry = setTimeout(open, RETRY_AFTER);
    });
  };
  const check = () => {
    if (source && new Date() - last < STALE_AFTER) return;
    show("stale", `Stale: numbers of ${last.toLocaleTimeString()}, connecting again`);
  };

  // A hidden page asks for nothing, and leaves its connection to others.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  setInterval(check, 1_000);
  if (!document.hidden) open();
})();
