//! The only place that writes to the terminal: data to stdout, everything else to stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// The width where none is known.
const WIDTH: usize = 100;
/// Lines are no wider than this, however wide the terminal is.
const WIDEST: usize = 120;

/// Text attributes, or none where color is off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    fn with(self, code: &str, text: impl Display) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    pub(crate) fn bold(self, text: impl Display) -> String {
        self.with("1", text)
    }

    pub(crate) fn dim(self, text: impl Display) -> String {
        self.with("2", text)
    }

    pub(crate) fn red(self, text: impl Display) -> String {
        self.with("31", text)
    }

    pub(crate) fn green(self, text: impl Display) -> String {
        self.with("32", text)
    }

    pub(crate) fn yellow(self, text: impl Display) -> String {
        self.with("33", text)
    }

    pub(crate) fn cyan(self, text: impl Display) -> String {
        self.with("36", text)
    }

    /// White on red: what must not be overlooked.
    pub(crate) fn alarm(self, text: impl Display) -> String {
        self.with("1;97;41", text)
    }
}

/// Writes. Failed writes are ignored: a closed pipe is nobody's loss, and a run must not end because of it.
#[derive(Debug)]
pub(crate) struct Printer {
    /// Machine-readable output.
    pub(crate) json: bool,
    /// How much more is said.
    pub(crate) verbose: u8,
    /// Attributes for stdout.
    pub(crate) out: Paint,
    /// Attributes for stderr.
    pub(crate) err: Paint,
    /// A person sees stderr and can answer on stdin.
    pub(crate) interactive: bool,
    /// stderr is a terminal whose lines can be redrawn.
    pub(crate) redraws: bool,
    live: Mutex<Live>,
}

#[derive(Debug, Default)]
struct Live {
    /// How many lines at the bottom are redrawn.
    lines: usize,
    /// The event stream got its last line.
    closed: bool,
    /// A question was asked and its line not ended.
    asking: bool,
}

impl Printer {
    pub(crate) fn new(json: bool, verbose: u8) -> Self {
        let color = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|t| t == "dumb");
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self {
            json,
            verbose,
            out: Paint(color && out && !dumb),
            err: Paint(color && err && !dumb),
            interactive: err && io::stdin().is_terminal(),
            redraws: err && !dumb && !json,
            live: Mutex::default(),
        }
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How wide text may be.
    #[expect(clippy::unused_self, reason = "where text goes is the printer's own matter")]
    pub(crate) fn width(&self) -> usize {
        let size = terminal_size::terminal_size_of(io::stderr())
            .or_else(|| terminal_size::terminal_size_of(io::stdout()));
        size.map_or(WIDTH, |(width, _)| usize::from(width.0).clamp(40, WIDEST))
    }

    fn height() -> usize {
        terminal_size::terminal_size_of(io::stderr()).map_or(24, |(_, height)| height.0.into())
    }

    /// Prints data.
    pub(crate) fn data(&self, text: impl Display) {
        let mut live = self.live();
        Self::erase(&mut live);
        let mut out = io::stdout().lock();
        let _ = out.write_all(format!("{text}\n").as_bytes());
        let _ = out.flush();
    }

    /// Prints data as one line of JSON; nothing after the end of an event stream.
    pub(crate) fn data_json(&self, value: &Value) {
        let mut live = self.live();
        if live.closed {
            return;
        }
        live.closed = value["event"] == "result";
        Self::erase(&mut live);
        let mut out = io::stdout().lock();
        let _ = out.write_all(format!("{value}\n").as_bytes());
        let _ = out.flush();
    }

    /// Prints a line, or several, for people.
    pub(crate) fn say(&self, text: impl Display) {
        let mut live = self.live();
        let erase = Self::clear(&mut live);
        let lead = if std::mem::take(&mut live.asking) { "\n" } else { "" };
        let _ = io::stderr().lock().write_all(format!("{erase}{lead}{text}\n").as_bytes());
    }

    /// Prints a sentence for people, broken where the terminal ends.
    pub(crate) fn tell(&self, text: &str) {
        self.say(wrap(text, self.width(), 2));
    }

    /// The person has answered.
    pub(crate) fn answered(&self) {
        self.live().asking = false;
    }

    /// Prints text without a line's end: a question.
    pub(crate) fn ask(&self, text: impl Display) {
        let mut live = self.live();
        let erase = Self::clear(&mut live);
        live.asking = true;
        let mut err = io::stderr().lock();
        let _ = err.write_all(format!("{erase}{text}").as_bytes());
        let _ = err.flush();
    }

    /// Redraws the lines at the bottom.
    pub(crate) fn redraw(&self, lines: &[String]) {
        if !self.redraws {
            return;
        }
        let mut live = self.live();
        let mut text = Self::clear(&mut live);
        let room = Self::height().saturating_sub(2).max(1);
        for line in lines.iter().take(room) {
            text += line;
            text.push('\n');
        }
        live.lines = lines.len().min(room);
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    fn clear(live: &mut Live) -> String {
        match std::mem::take(&mut live.lines) {
            0 => String::new(),
            lines => format!("\r\x1b[{lines}A\x1b[J"),
        }
    }

    fn erase(live: &mut Live) {
        let erase = Self::clear(live);
        if !erase.is_empty() {
            let _ = io::stderr().lock().write_all(erase.as_bytes());
        }
    }
}

/// Breaks text into lines of at most `width` characters, at spaces; every line but the first is indented by `indent`.
pub(crate) fn wrap(text: &str, width: usize, indent: usize) -> String {
    let lead = text.len() - text.trim_start_matches(' ').len();
    let mut out = text[..lead].to_owned();
    let (mut column, mut fresh) = (lead, true);
    for word in text[lead..].split(' ') {
        let len = visible(word);
        if !fresh && column + 1 + len > width {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else if !fresh {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += len;
        fresh = false;
    }
    out
}

/// The characters of `text` that a terminal shows.
pub(crate) fn visible(text: &str) -> usize {
    let (mut count, mut escaped) = (0, false);
    for c in text.chars() {
        match (escaped, c) {
            (false, '\x1b') => escaped = true,
            (false, _) => count += 1,
            (true, 'm') => escaped = false,
            (true, _) => {}
        }
    }
    count
}

/// Cuts a line to `width` shown characters. Control characters become spaces: what AWS says must not steer the terminal.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if visible(text) <= width {
        return text.to_owned();
    }
    let (mut out, mut count, mut escaped) = (String::new(), 0, false);
    for c in text.chars() {
        let shown = !escaped && c != '\x1b';
        escaped = c == '\x1b' || (escaped && c != 'm');
        if shown {
            count += 1;
            if count == width {
                out.push('…');
            }
            if count >= width {
                continue;
            }
        }
        out.push(c);
    }
    out
}

/// Text from elsewhere, made harmless for a terminal.
pub(crate) fn tame(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_and_cut_by_what_is_seen() {
        let red = Paint(true).red("abc");
        assert_eq!(visible(&red), 3);
        assert_eq!(wrap("one two three", 8, 2), "one two\n  three");
        assert_eq!(wrap("  one  two", 10, 4), "  one  two");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut(&format!("{red}def"), 5), "\x1b[31mabc\x1b[0md…");
        assert_eq!(tame("a\x1b[2Jb"), "a [2Jb");
    }
}
