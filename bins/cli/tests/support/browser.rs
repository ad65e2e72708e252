//! Drives headless Chromium over its debugging pipe: no WebSocket, no further program.

use base64::Engine as _;
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;

/// Names under which Chromium is installed.
const PROGRAMS: [&str; 2] = ["chromium", "chromium-browser"];

/// Limit for one answer of the browser.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lets the shell give Chromium its pipes: commands on 3, answers on 4.
const PIPES: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;

const FLAGS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
];

/// A page of a browser, which ends with it.
pub struct Page {
    browser: Child,
    commands: Option<ChildStdin>,
    answers: Receiver<Value>,
    session: String,
    last: u64,
    _profile: TempDir,
}

impl Page {
    /// Opens an empty page; `None` if there is no Chromium.
    pub fn open() -> Option<Self> {
        let program = PROGRAMS.into_iter().find(|program| {
            let version = Command::new(program).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        })?;
        let profile = TempDir::new().expect("a temporary folder");
        let mut browser = Command::new("sh")
            .args(["-c", PIPES, program])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh runs");
        let commands = browser.stdin.take();
        let pipe = browser.stdout.take().expect("it is piped");
        let (sender, answers) = channel();
        thread::spawn(move || {
            for message in BufReader::new(pipe).split(0) {
                let Ok(message) = message else { return };
                let Ok(message) = serde_json::from_slice(&message) else {
                    return;
                };
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut page = Self {
            browser,
            commands,
            answers,
            session: String::new(),
            last: 0,
            _profile: profile,
        };
        let target = page.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = page.call("Target.attachToTarget", attach);
        page.session = session["sessionId"].as_str().expect("a session").into();
        page.call("Page.enable", json!({}));
        let record = "window.violations = []; document.addEventListener('securitypolicyviolation', \
                      (event) => window.violations.push(event.violatedDirective + ' ' + event.sourceFile));";
        let source = json!({"source": record});
        page.call("Page.addScriptToEvaluateOnNewDocument", source);
        Some(page)
    }

    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last += 1;
        let mut command = json!({"id": self.last, "method": method});
        command["params"] = parameters;
        if !self.session.is_empty() {
            command["sessionId"] = self.session.as_str().into();
        }
        let commands = self.commands.as_mut().expect("the browser runs");
        let sent = commands.write_all(format!("{command}\0").as_bytes());
        sent.unwrap_or_else(|error| panic!("{method}: {error}"));
        loop {
            let answer = self.answers.recv_timeout(PATIENCE);
            let mut answer = answer.unwrap_or_else(|error| panic!("{method}: {error}"));
            if answer["id"] == self.last {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    /// Goes to `url` and waits until it is loaded.
    pub fn go(&mut self, url: &str) {
        let went = self.call("Page.navigate", json!({ "url": url }));
        assert!(went["errorText"].is_null(), "{url}: {went}");
        self.wait_for("document.readyState === 'complete'");
    }

    /// The value of an expression in the page.
    pub fn eval(&mut self, expression: &str) -> Value {
        let call = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut result = self.call("Runtime.evaluate", call);
        let failed = &result["exceptionDetails"];
        assert!(failed.is_null(), "{expression}: {failed}");
        result["result"]["value"].take()
    }

    /// Waits until an expression in the page is true.
    pub fn wait_for(&mut self, expression: &str) {
        let started = SystemTime::now();
        while self.eval(&format!("Boolean({expression})")) != true {
            let elapsed = started.elapsed().unwrap_or_default();
            if elapsed > 3 * PATIENCE {
                let text = self.eval("location.href + '\\n' + document.body.innerText");
                panic!("not within {elapsed:?}: {expression}\n{text}");
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Presses the left button of the mouse on the first element that `selector` selects.
    pub fn click(&mut self, selector: &str) {
        self.wait_for(&format!("document.querySelector({selector:?})"));
        // In one step, so that no update of the page comes between.
        let place = self.eval(&format!(
            "(() => {{ const element = document.querySelector({selector:?}); \
             element.scrollIntoView({{block: 'center'}}); \
             const box = element.getBoundingClientRect(); \
             return [box.left + Math.min(box.width, 40) / 2, box.top + Math.min(box.height, 20) / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": place[0], "y": place[1], "button": "left",
                "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Gives the screen a width and a theme, `light` or `dark`.
    pub fn look(&mut self, width: u32, theme: &str) {
        let screen =
            json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", screen);
        let theme = json!({"features": [{"name": "prefers-color-scheme", "value": theme}]});
        self.call("Emulation.setEmulatedMedia", theme);
    }

    /// Saves a picture of the whole page.
    pub fn save(&mut self, path: &Path) {
        let shot = self.call(
            "Page.captureScreenshot",
            json!({"format": "png", "captureBeyondViewport": true}),
        );
        let data = shot["data"].as_str().expect("a picture");
        let data = base64::engine::general_purpose::STANDARD.decode(data);
        fs::write(path, data.expect("base64")).expect("the picture is written");
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // It ends when its pipe does.
        drop(self.commands.take());
        let _ = self.browser.kill();
        let _ = self.browser.wait();
    }
}
