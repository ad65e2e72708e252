//! Frame of every page: head, navigation, footer.

use super::{App, assets, paths};
use crate::http::ApiError;
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

/// A page of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Overview,
    Tap,
    Routes,
    Explain,
    Check,
}

const SECTIONS: [(Section, &str, &str); 5] = [
    (Section::Overview, paths::OVERVIEW, "Overview"),
    (Section::Tap, paths::TAP, "Tap"),
    (Section::Routes, paths::ROUTES, "Routes"),
    (Section::Explain, paths::EXPLAIN, "Explain"),
    (Section::Check, paths::CHECK, "Check"),
];

/// A page, from its parts.
pub(super) struct Page<'a> {
    pub(super) section: Section,
    pub(super) title: &'a str,
    /// Content that stays as it is, such as forms.
    pub(super) fixed: Markup,
    /// Content that is brought up to date.
    pub(super) live: Option<Markup>,
    /// Scripts beside those that keep a page up to date.
    pub(super) scripts: &'a [&'a str],
}

impl Page<'_> {
    pub(super) fn render(self, app: &App) -> Markup {
        let is_live = self.live.is_some();
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · mesh" }
                    link rel="icon" href=(assets::ICON) type="image/svg+xml";
                    link rel="stylesheet" href=(assets::STYLE);
                    @if is_live {
                        script defer src=(assets::MORPH) {}
                        script defer src=(assets::LIVE) {}
                        noscript { meta http-equiv="refresh" content="5"; }
                    }
                    @for script in self.scripts { script defer src=(script) {} }
                }
                body {
                    a class="skip" href="#main" { "Skip to the content" }
                    header class="top" {
                        a class="brand" href=(paths::OVERVIEW) { "mesh" }
                        nav aria-label="Pages" {
                            @for (section, path, name) in SECTIONS {
                                a href=(path) aria-current=[(section == self.section).then_some("page")] { (name) }
                            }
                        }
                        @if is_live || !self.scripts.is_empty() { p id="freshness" role="status" data-state="live" { "Live" } }
                    }
                    main id="main" tabindex="-1" {
                        h1 { (self.title) }
                        (self.fixed)
                        @if let Some(live) = self.live { div id="live" { (live) } }
                    }
                    footer {
                        "mesh " (app.about.version) ", namespace " (app.index.default_namespace())
                        ". This dashboard reads only: what changes the mesh is shown as a command."
                    }
                }
            }
        }
    }
}

/// A page that says why there is no other.
pub(super) fn error(app: &App, section: Section, error: &ApiError) -> Response {
    let page = Page {
        section,
        title: "Not shown",
        fixed: html! {
            p class="empty" { (error) "." }
            p { a href=(paths::OVERVIEW) { "All workloads" } }
        },
        live: None,
        scripts: &[],
    };
    (error.status(), Html(page.render(app).into_string())).into_response()
}

/// A table that scrolls by itself where the screen is narrow.
pub(super) fn table(label: &str, head: &Markup, body: &Markup) -> Markup {
    html! {
        div class="scroll" role="region" aria-label=(label) tabindex="0" {
            table { thead { tr { (head) } } tbody { (body) } }
        }
    }
}

/// A command line to copy.
pub(super) fn command(text: &str) -> Markup {
    html! { pre class="command" tabindex="0" { code { (text) } } }
}

/// A word of a command line, quoted if the shell would read it otherwise.
pub(super) fn shell_word(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:,=@%+".contains(&byte);
    match !word.is_empty() && word.bytes().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_command_runs_nothing_else() {
        assert_eq!(shell_word("deploy/webapp"), "deploy/webapp");
        assert_eq!(shell_word("GET /books/{id}"), "'GET /books/{id}'");
        assert_eq!(shell_word("'; rm -rf /; '"), r"''\''; rm -rf /; '\'''");
        assert_eq!(shell_word(""), "''");
    }
}
