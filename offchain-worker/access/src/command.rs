//! What a tenant may ask for in a session.

/// What is shown to those who ask for nothing, or for something else.
pub(crate) const USAGE: &str = "\
Usage: ssh REQUEST@NODE COMMAND, and ssh -J REQUEST@NODE quarry@vm to log in to the VM.
  console                             the serial console; with ssh -t, and ~. to leave
  log [--lines N] [--no-follow]       what the VM wrote to its serial console
  stats [--json] [--follow]           what the VM uses
Forwarded ports: 22 and, for its screen, 5900, as ssh -N -L 5900:vm:5900 REQUEST@NODE
";

/// A command.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Command {
    Console,
    Log { follow: bool, lines: Option<usize> },
    Stats { json: bool, follow: bool },
    Help,
}

/// The command, unless it is none.
pub(crate) fn parse(line: &[u8]) -> Option<Command> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_ascii_whitespace();
    let mut command = match words.next() {
        None | Some("help" | "--help") => Command::Help,
        Some("console") => Command::Console,
        Some("log") => Command::Log { follow: true, lines: None },
        Some("stats") => Command::Stats { json: false, follow: false },
        Some(_) => return None,
    };
    while let Some(word) = words.next() {
        match (&mut command, word) {
            (Command::Log { follow, .. }, "--no-follow") => *follow = false,
            (Command::Log { lines, .. }, "--lines") => *lines = Some(words.next()?.parse().ok()?),
            (Command::Stats { json, .. }, "--json") => *json = true,
            (Command::Stats { follow, .. }, "--follow") => *follow = true,
            _ => return None,
        }
    }
    Some(command)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_understood_with_their_options() {
        let log = |follow, lines| Some(Command::Log { follow, lines });
        assert_eq!(parse(b"console"), Some(Command::Console));
        assert_eq!(parse(b" log "), log(true, None));
        assert_eq!(parse(b"log --lines 10 --no-follow"), log(false, Some(10)));
        assert_eq!(parse(b"stats --json"), Some(Command::Stats { json: true, follow: false }));
        assert_eq!(parse(b""), Some(Command::Help));
    }

    #[test]
    fn anything_else_is_no_command() {
        let wrong: [&[u8]; 8] = [
            b"sh",
            b"console now",
            b"log --lines",
            b"log --lines -1",
            b"log --lines 99999999999999999999999",
            b"stats --no-follow",
            b"console; sh",
            b"\xff",
        ];
        for line in wrong {
            assert_eq!(parse(line), None, "{}", String::from_utf8_lossy(line));
        }
    }
}
