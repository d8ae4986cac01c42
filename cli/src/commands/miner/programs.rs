//! Other programs, found in PATH.

use crate::{context::Context, failure::Failure};
use std::{io, process::ExitStatus, process::Stdio};
use tokio::process::Command;

/// How one ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Whether it did what it was asked.
    pub ok: bool,
    /// What it wrote.
    pub stdout: String,
    /// What it said beside that.
    pub stderr: String,
}

impl Ran {
    /// What it said of its failure, in a line.
    pub fn why(&self) -> String {
        let said = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        said.trim().replace('\n', "; ")
    }
}

/// Runs one to its end, and keeps what it says.
pub async fn ask(program: &str, arguments: &[&str]) -> Result<Ran, Failure> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| not_run(program, &error))?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ran {
        ok: output.status.success(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    })
}

/// Runs one whose words go to standard error, so that standard output is the result's.
pub async fn run_through(
    context: &Context,
    program: &str,
    arguments: &[&str],
) -> Result<(), Failure> {
    context.out.aside(&format!("{program} {}", arguments.join(" ")));
    let child = Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .status();
    end_of(child.await.map_err(|error| not_run(program, &error))?)
}

/// Runs one in this one's place: what it writes is the result.
pub async fn become_it(program: &str, arguments: &[&str]) -> Result<(), Failure> {
    let child = Command::new(program).args(arguments).status();
    end_of(child.await.map_err(|error| not_run(program, &error))?)
}

/// It said itself what went wrong.
fn end_of(status: ExitStatus) -> Result<(), Failure> {
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => Err(Failure::Exit(u8::try_from(code).unwrap_or(1))),
        None => Err(Failure::Exit(1)),
    }
}

fn not_run(program: &str, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound => Failure::NotFound(format!(
            "there is no {program} in PATH: this is for the worker's host, which has it with its package \
             (docs/operator.md)"
        )),
        _ => Failure::Other(format!("{program}: {error}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let failure = ask("quarry-no-such-program", &[]).await.unwrap_err();
        assert_eq!(failure.exit_code(), 3);
        assert!(failure.to_string().contains("quarry-no-such-program"), "{failure}");
    }

    #[tokio::test]
    async fn a_program_that_fails_says_why_itself() {
        let ran = ask("ls", &["/nowhere/at/all"]).await.unwrap();
        assert!(!ran.ok && ran.why().contains("/nowhere/at/all"), "{ran:?}");
        let failure = become_it("false", &[]).await.unwrap_err();
        assert_eq!(failure.exit_code(), 1);
    }
}
