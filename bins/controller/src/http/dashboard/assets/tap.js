// Follows a tap: the server sends each exchange as a row when it is over.
"use strict";
(() => {
  const rows = document.getElementById("tap");
  if (!rows) return;

  const MAX_ROWS = 300;
  const STALE_AFTER = 6_000;
  const [state, count, waiting, stop] = ["freshness", "count", "waiting", "stop"].map((id) =>
    document.getElementById(id),
  );
  let source = null;
  let seen = 0;
  let last = new Date();

  const show = (name, text) => {
    if (state.textContent === text) return;
    state.dataset.state = name;
    state.textContent = text;
  };
  const fresh = () => {
    last = new Date();
    show("live", "Live");
  };
  const add = (html) => {
    rows.insertAdjacentHTML("afterbegin", html);
    for (const time of rows.firstElementChild.querySelectorAll("time[data-ms]")) {
      time.textContent = new Date(Number(time.dataset.ms)).toLocaleTimeString();
    }
    while (rows.childElementCount > MAX_ROWS) rows.lastElementChild.remove();
    seen += 1;
    count.textContent = `(${seen})`;
    waiting.hidden = true;
  };
  const close = (name, text) => {
    source?.close();
    source = null;
    stop.textContent = "Start again";
    show(name, text);
  };
  const open = () => {
    source = new EventSource(rows.dataset.events);
    stop.textContent = "Stop";
    source.addEventListener("session", (event) => {
      for (const file of ["ndjson", "har"]) {
        const link = document.getElementById(file);
        link.href = `/tap/sessions/${event.data}/exchanges.${file}`;
        link.hidden = false;
      }
      fresh();
    });
    source.addEventListener("exchange", (event) => {
      add(JSON.parse(event.data));
      fresh();
    });
    source.addEventListener("same", fresh);
    source.addEventListener("error", () => close("stale", "Stopped: the connection was lost"));
  };

  stop.addEventListener("click", () => (source ? close("stopped", "Stopped") : open()));
  setInterval(() => {
    if (source && new Date() - last > STALE_AFTER) {
      show("stale", `Stale: nothing heard since ${last.toLocaleTimeString()}`);
    }
  }, 1_000);
  open();
})();
