//! Logs, as text for people or as JSON for programs, to standard error.

use crate::config::{LogFormat, LogSettings};
use std::{env, fmt, io::IsTerminal};
use tracing::{field::Field, subscriber::SetGlobalDefaultError, Subscriber};
use tracing_subscriber::{
    field::MakeExt,
    filter::ParseError,
    fmt::{
        format::{debug_fn, Writer},
        MakeWriter,
    },
    layer::SubscriberExt,
    EnvFilter, Layer, Registry,
};

/// Logs could not be begun.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter makes no sense.
    #[error("logs.filter is not as \"info,quarry_worker=debug\": {0}")]
    Filter(#[from] ParseError),
    /// It was done before.
    #[error("logs were begun already: {0}")]
    Begun(#[from] SetGlobalDefaultError),
}

/// Begins to log, once in a process.
pub fn start(settings: &LogSettings) -> Result<(), LogError> {
    let stderr = rustix::fs::fstat(std::io::stderr()).ok().map(|stat| (stat.st_dev, stat.st_ino));
    let dress = Dress::of(
        std::io::stderr().is_terminal(),
        env::var("NO_COLOR").ok().as_deref(),
        env::var("JOURNAL_STREAM").ok().as_deref(),
        stderr,
    );
    let subscriber = subscriber(settings, dress, std::io::stderr)?;
    Ok(tracing::subscriber::set_global_default(subscriber)?)
}

/// What goes with a line of text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Dress {
    colours: bool,
    time: bool,
}

impl Dress {
    /// The journal keeps its own time of each line. It names the stream that it reads by device and
    /// inode, so that a service which redirects its standard error gets times again.
    fn of(
        is_terminal: bool,
        no_color: Option<&str>,
        journal_stream: Option<&str>,
        stderr: Option<(u64, u64)>,
    ) -> Self {
        let wants_plain = no_color.is_some_and(|value| !value.is_empty());
        let stream = stderr.map(|(device, inode)| format!("{device}:{inode}"));
        let is_journal = stream.is_some() && journal_stream == stream.as_deref();
        Self { colours: is_terminal && !wants_plain, time: !is_journal }
    }
}

fn subscriber<W>(
    settings: &LogSettings,
    dress: Dress,
    writer: W,
) -> Result<impl Subscriber + Send + Sync, ParseError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&settings.filter)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(dress.colours);
    let fields = || debug_fn(write_field).delimited(" ");
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match (settings.format, dress.time) {
        (LogFormat::Json, _) => lines.json().flatten_event(true).with_ansi(false).boxed(),
        (LogFormat::Text, true) => lines.fmt_fields(fields()).boxed(),
        (LogFormat::Text, false) => lines.fmt_fields(fields()).without_time().boxed(),
    };
    Ok(Registry::default().with(layer.with_filter(filter)))
}

/// tracing-subscriber 0.3.19, which the SDK pins, writes control characters of a message as they are: with
/// them a tenant's text could forge lines, or play with the terminal of whoever reads the log.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    if field.name() != "message" {
        write!(writer, "{}=", field.name())?;
    }
    format!("{value:?}").chars().try_for_each(|c| match c.is_control() {
        true => write!(writer, "{}", c.escape_default()),
        false => writer.write_char(c),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;
    use serde_json::{json, Value};
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    const PLAIN: Dress = Dress { colours: false, time: true };

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: &str, dress: Dress, log: impl FnOnce()) -> String {
        let page = Page::default();
        let writer = page.clone();
        let settings = LogSettings { format, filter: filter.into() };
        let subscriber = subscriber(&settings, dress, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn launch() {
        let _span = tracing::info_span!("lane", request = 7, generation = 3).entered();
        tracing::info!(vcpus = 2, "launched");
        tracing::debug!("a detail");
    }

    #[test]
    fn a_line_of_text_has_its_time_its_span_and_its_fields() {
        let page = logged(LogFormat::Text, "info", PLAIN, launch);
        assert_eq!(page.lines().count(), 1, "{page}");
        assert!(
            page.contains("lane{request=7 generation=3}") && page.contains("vcpus=2"),
            "{page}"
        );
        assert!(page.starts_with("20") && !page.contains('\u{1b}'), "{page}");
    }

    #[test]
    fn a_line_of_json_is_an_object_with_the_same() {
        let page = logged(LogFormat::Json, "info", Dress { colours: true, time: false }, launch);
        let line: Value = serde_json::from_str(page.trim()).unwrap();
        assert_eq!((&line["message"], &line["vcpus"]), (&json!("launched"), &json!(2)));
        assert_eq!((&line["level"], &line["span"]["request"]), (&json!("INFO"), &json!(7)));
        assert!(line["timestamp"].is_string());
    }

    #[test]
    fn the_journal_has_times_of_its_own() {
        let page = logged(LogFormat::Text, "info", Dress { colours: false, time: false }, launch);
        assert!(page.trim_start().starts_with("INFO lane"), "{page}");
    }

    #[test]
    fn a_terminal_has_colours() {
        let page = logged(LogFormat::Text, "info", Dress { colours: true, time: true }, launch);
        assert!(page.contains('\u{1b}'), "{page}");
    }

    #[test]
    fn a_filter_lets_in_what_it_names() {
        let page = logged(LogFormat::Text, "warn,quarry_worker=debug", PLAIN, launch);
        assert!(page.contains("a detail"), "{page}");
        assert_eq!(logged(LogFormat::Text, "warn", PLAIN, launch), "");
    }

    #[test]
    fn what_a_stranger_sends_cannot_move_the_terminals_cursor() {
        let page = logged(LogFormat::Text, "info", PLAIN, || {
            let _span = tracing::info_span!("lane", name = %"\u{1b}[2J").entered();
            tracing::info!(name = %"\u{1b}[2Jgone", "a name {}", "\u{1b}[2J\n2026 INFO forged");
        });
        assert!(!page.contains('\u{1b}') && page.lines().count() == 1, "{page}");
        assert!(
            page.contains("a name \\u{1b}[2J\\n2026 INFO forged name=\\u{1b}[2Jgone"),
            "{page}"
        );
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_refused() {
        let settings = LogSettings { format: LogFormat::Text, filter: "info=loud".into() };
        assert!(subscriber(&settings, PLAIN, std::io::sink).is_err());
    }

    #[test]
    fn colours_are_for_a_terminal_whose_user_wants_them() {
        let colours = |is_terminal, no_color| Dress::of(is_terminal, no_color, None, None).colours;
        assert!(colours(true, None) && colours(true, Some("")));
        assert!(!colours(true, Some("1")) && !colours(false, None));
    }

    #[test]
    fn a_stream_is_the_journals_if_device_and_inode_say_so() {
        let time = |journal, stderr| Dress::of(false, None, journal, stderr).time;
        assert!(!time(Some("9:77"), Some((9, 77))));
        assert!(time(Some("9:77"), Some((9, 78))));
        assert!(time(None, Some((9, 77))) && time(Some("9:77"), None) && time(None, None));
    }
}
