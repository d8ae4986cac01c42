//! Asking on the terminal. Questions go to standard error, so that the result can be piped.

use crate::failure::Failure;
use std::io::{self, BufRead, Write};
use zeroize::Zeroizing;

/// Asks for a yes; an empty line is the default.
pub fn yes(question: &str, default: bool) -> Result<bool, Failure> {
    let choice = if default { "[Y/n]" } else { "[y/N]" };
    loop {
        let answer = line(&format!("{question} {choice} "))?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "" => return Ok(default),
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => {}
        }
    }
}

/// Asks for a line; an empty one is the default, if there is one.
pub fn text(question: &str, default: Option<&str>) -> Result<String, Failure> {
    loop {
        let shown = default.map(|default| format!(" [{default}]")).unwrap_or_default();
        let answer = line(&format!("{question}{shown}: "))?;
        match (answer.trim(), default) {
            ("", Some(default)) => return Ok(default.to_owned()),
            ("", None) => {}
            (answer, _) => return Ok(answer.to_owned()),
        }
    }
}

/// Asks for a password, which is not shown.
pub fn password(question: &str) -> Result<Zeroizing<String>, Failure> {
    let asked = rpassword::prompt_password(format!("{question}: "));
    asked.map(Zeroizing::new).map_err(|error| {
        Failure::Usage(format!("the password cannot be asked for ({error}): use --password-file"))
    })
}

fn line(question: &str) -> Result<String, Failure> {
    let mut aside = io::stderr().lock();
    write!(aside, "{question}")?;
    aside.flush()?;
    let mut answer = String::new();
    match io::stdin().lock().read_line(&mut answer)? {
        0 => Err(Failure::Interrupted("nothing was done".into())),
        _ => Ok(answer),
    }
}
