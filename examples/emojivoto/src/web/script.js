// Fills the page: the ballot and what comes of a vote, or the leaderboard.
"use strict";

const main = document.querySelector("main");
const content = document.getElementById("content");

/** An element with properties and children. */
function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

async function fetchJson(path) {
  const answer = await fetch(path);
  const body = await answer.text();
  if (!answer.ok) throw new Error(`${answer.status} ${body}`);
  return body === "" ? null : JSON.parse(body);
}

function screen(kind, big, title, text, ...links) {
  content.replaceChildren(
    make("div", { className: `screen ${kind}` },
      make("span", { className: "big" }, big),
      make("h2", {}, title),
      make("p", {}, text),
      ...links.map(([href, label]) => make("a", { href }, label))));
}

async function vote(emoji) {
  for (const button of content.querySelectorAll("button")) button.disabled = true;
  try {
    await fetchJson(`/api/vote?choice=${encodeURIComponent(emoji.shortcode)}`);
    screen("good", emoji.unicode, "You voted!", `One more for ${emoji.shortcode}.`,
      ["/", "Vote again"], ["/leaderboard", "See the leaderboard"]);
  } catch (error) {
    // The page's own 404: the answer was a 500.
    screen("bad", "🚧", "404", `This vote got lost: ${error.message}`, ["/", "Try another one"]);
  }
}

async function ballot() {
  const list = await fetchJson("/api/list");
  content.replaceChildren(
    make("div", { className: "ballot" }, ...list.map((emoji) => make("button", {
      type: "button",
      title: emoji.shortcode,
      ariaLabel: emoji.shortcode,
      onclick: () => vote(emoji),
    }, emoji.unicode))));
}

async function leaderboard() {
  const ranks = await fetchJson("/api/leaderboard");
  if (ranks.length === 0) return screen("good", "🗳️", "No votes yet", "Be the first.", ["/", "Vote"]);
  content.replaceChildren(
    make("ol", { className: "ranks" }, ...ranks.map((rank) =>
      make("li", { title: rank.shortcode },
        make("span", {}, rank.unicode), make("b", {}, rank.votes)))));
}

const pages = { ballot, leaderboard };
pages[main.dataset.page]().catch((error) =>
  screen("bad", "🚧", "Something is wrong", error.message, ["", "Try again"]));
