//! What a command tells: tables for people, JSON for programs, progress only on a terminal.

use anstyle::{AnsiColor, Style};
use console::measure_text_width;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::{
    array,
    cell::RefCell,
    env,
    future::Future,
    io::{self, IsTerminal, Write},
    iter,
    time::Duration,
};

/// Without a terminal, what takes longer than this is named once.
const SILENCE: Duration = Duration::from_secs(3);
const TICK: Duration = Duration::from_millis(100);

/// What a command found, as text and as JSON.
pub trait Show: Serialize {
    /// For people: lines, or a table.
    fn text(&self, paint: Paint) -> String;
}

/// Puts colours to words, where there is a terminal that shows them.
#[derive(Clone, Copy, Debug)]
pub struct Paint(bool);

impl Paint {
    /// Without colours.
    pub const PLAIN: Self = Self(false);

    fn with(self, style: Style, text: &str) -> String {
        match self.0 {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }

    /// What is as it should be.
    pub fn good(self, text: &str) -> String {
        self.with(AnsiColor::Green.on_default(), text)
    }

    /// What is under way, or waits.
    pub fn waiting(self, text: &str) -> String {
        self.with(AnsiColor::Yellow.on_default(), text)
    }

    /// What went wrong.
    pub fn bad(self, text: &str) -> String {
        self.with(AnsiColor::Red.on_default(), text)
    }

    /// What stands out.
    pub fn strong(self, text: &str) -> String {
        self.with(Style::new().bold(), text)
    }

    /// What is of less interest.
    pub fn faint(self, text: &str) -> String {
        self.with(Style::new().dimmed(), text)
    }
}

/// Where a command tells what it found, and how.
#[derive(Clone, Debug)]
pub struct Output {
    json: bool,
    quiet: bool,
    /// Whether standard error is a terminal on which things may move.
    moving: bool,
    paint: Paint,
    paint_aside: Paint,
}

impl Output {
    /// By the flags, the variables `NO_COLOR` and `TERM`, and what is a terminal.
    pub fn new(json: bool, quiet: bool) -> Self {
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        let plain = dumb || env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let (out, aside) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self {
            json,
            // Programs find nothing but an error there.
            quiet: quiet || (json && !aside),
            moving: aside && !dumb && !quiet,
            paint: Paint(out && !plain && !json),
            paint_aside: Paint(aside && !plain),
        }
    }

    /// Whether programs read it.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether somebody can be asked.
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Whether a live display can be drawn on standard output.
    pub fn is_live(&self) -> bool {
        self.moving && io::stdout().is_terminal() && !self.json
    }

    /// For text on standard output.
    pub fn paint(&self) -> Paint {
        self.paint
    }

    /// For text on standard error.
    pub fn paint_aside(&self) -> Paint {
        self.paint_aside
    }

    /// The command's result, on standard output.
    pub fn show(&self, view: &impl Show) -> io::Result<()> {
        match self.json {
            true => self.line(&serde_json::to_string_pretty(view)?),
            false => self.line(view.text(self.paint).trim_end()),
        }
    }

    /// A line on standard output. Whoever reads it may be gone, as after `| head`.
    pub fn line(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }

    /// Something beside the result, on standard error.
    pub fn aside(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// Waits, and says for what: at once on a terminal, else when it takes a while.
    pub async fn waiting<Answer>(&self, what: &str, task: impl Future<Output = Answer>) -> Answer {
        if self.moving {
            let _wait = self.wait(what);
            return task.await;
        }
        tokio::pin!(task);
        tokio::select! {
            answer = &mut task => return answer,
            () = tokio::time::sleep(SILENCE) => self.aside(&format!("waiting for {what}")),
        }
        task.await
    }

    /// A display of what is waited for, until it is dropped. Its words can change; without a terminal
    /// each is a line.
    pub fn wait(&self, what: &str) -> Wait<'_> {
        let bar = self.moving.then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar
        });
        let wait = Wait { out: self, bar, words: RefCell::default() };
        wait.is_for(what);
        // Not before it has words.
        if let Some(bar) = &wait.bar {
            bar.enable_steady_tick(TICK);
        }
        wait
    }
}

/// What is waited for.
pub struct Wait<'a> {
    out: &'a Output,
    bar: Option<ProgressBar>,
    words: RefCell<String>,
}

impl Wait<'_> {
    /// Changes the words.
    pub fn is_for(&self, what: &str) {
        if *self.words.borrow() == what {
            return;
        }
        self.words.replace(what.to_owned());
        match &self.bar {
            Some(bar) => bar.set_message(format!("waiting for {what}")),
            None => self.out.aside(&format!("waiting for {what}")),
        }
    }

    /// Writes lines without disturbing the display.
    pub fn suspend<Answer>(&self, write: impl FnOnce() -> Answer) -> Answer {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A table without lines, its columns two spaces apart.
pub fn table<const COLUMNS: usize>(
    header: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    let lines: Vec<_> = iter::once(header.map(str::to_owned)).chain(rows).collect();
    // Colours take no room.
    let widths: [usize; COLUMNS] = array::from_fn(|column| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| measure_text_width(cell)).max().unwrap_or_default()
    });
    let padded = lines.iter().map(|line| {
        let cells = line.iter().zip(widths).map(|(cell, width)| {
            let room = width.saturating_sub(measure_text_width(cell));
            format!("{cell}{}", " ".repeat(room))
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    padded.collect::<Vec<_>>().join("\n")
}

/// Names and values, a line each, the values one below the other.
pub fn fields<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let rows: Vec<_> = rows.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let lines = rows.into_iter().map(|(name, value)| format!("{name:<width$}  {value}"));
    lines.collect::<Vec<_>>().join("\n")
}

/// A text that may be missing.
pub fn or_dash(text: Option<impl ToString>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_their_names_in_colours_too() {
        let rows = |paint: Paint| {
            let row = |name: &str, state| [name.to_owned(), state, "x".to_owned()];
            [row("a", paint.good("running")), row("büro-東", paint.bad("off"))]
        };
        let plain = table(["NAME", "STATE", "END"], rows(Paint::PLAIN));
        assert_eq!(plain, "NAME     STATE    END\na        running  x\nbüro-東  off      x");
        let painted = table(["NAME", "STATE", "END"], rows(Paint(true)));
        assert_ne!(painted, plain);
        assert_eq!(console::strip_ansi_codes(&painted), plain);
    }
}
