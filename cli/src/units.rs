//! Money, time and sizes, as people write them. The chain counts in its smallest unit, per block, and
//! nobody ever sees that here.

use quarry_primitives::{
    resources::Resources, Balance, BlockNumber, HOURS, MILLISECS_PER_BLOCK, QRY, TOKEN_DECIMALS,
    TOKEN_SYMBOL,
};
use serde::Serialize;
use std::{fmt, str::FromStr, time::Duration};

/// Blocks in a month of thirty days.
pub const MONTH: BlockNumber = 30 * 24 * HOURS;

/// An amount, shown in QRY.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Qry(pub Balance);

impl fmt::Display for Qry {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = self.0.checked_div(QRY).unwrap_or_default();
        let rest = self.0.checked_rem(QRY).unwrap_or_default();
        let digits = format!("{rest:0width$}", width = TOKEN_DECIMALS.into());
        let digits = digits.trim_end_matches('0');
        match digits.is_empty() {
            true => write!(out, "{whole}"),
            false => write!(out, "{whole}.{digits}"),
        }
    }
}

impl Qry {
    /// With the token's name.
    pub fn with_symbol(self) -> String {
        format!("{self} {TOKEN_SYMBOL}")
    }
}

impl FromStr for Qry {
    type Err = String;

    /// As `12.5`, with or without the token's name.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no amount of {TOKEN_SYMBOL}: write it as 12.5");
        let number = text.trim().trim_end_matches(TOKEN_SYMBOL).trim_end();
        let (whole, rest) = number.split_once('.').unwrap_or((number, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let width = usize::from(TOKEN_DECIMALS);
        if whole.is_empty() || !digits(whole) || !digits(rest) || number.ends_with('.') {
            return Err(wrong());
        }
        if rest.len() > width {
            return Err(format!("{text:?} has more than {width} decimal places"));
        }
        let whole: Balance = whole.parse().map_err(|_| wrong())?;
        let rest: Balance = format!("{rest:0<width$}").parse().map_err(|_| wrong())?;
        let sum = whole.checked_mul(QRY).and_then(|whole| whole.checked_add(rest));
        sum.map(Self).ok_or_else(wrong)
    }
}

impl Serialize for Qry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What something costs as long as it is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Price {
    /// In an hour.
    pub hour: Qry,
    /// In thirty days.
    pub month: Qry,
}

impl Price {
    /// Of a price per block.
    pub fn per_block(price: Balance) -> Self {
        let times = |blocks: BlockNumber| Qry(price.saturating_mul(blocks.into()));
        Self { hour: times(HOURS), month: times(MONTH) }
    }
}

impl fmt::Display for Price {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {TOKEN_SYMBOL} an hour, {} a month", self.hour, self.month)
    }
}

/// The most per block that is no more than so much an hour.
pub fn per_block(hour: Qry) -> Balance {
    hour.0.checked_div(HOURS.into()).unwrap_or_default()
}

/// A length of time as people write it: `24h`, `30days`, `1h 30m`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = humantime::parse_duration(text);
        let span = parsed.map_err(|error| format!("{error}: write it as 24h or 30days"))?;
        match span.is_zero() {
            true => Err("must be longer than nothing".into()),
            false => Ok(Self(span)),
        }
    }
}

impl Span {
    /// So many blocks, the last one begun.
    pub fn blocks(self) -> Option<BlockNumber> {
        self.0.as_millis().div_ceil(MILLISECS_PER_BLOCK.into()).try_into().ok()
    }
}

/// How long so many blocks take.
pub fn time_of(blocks: BlockNumber) -> Duration {
    Duration::from_millis(MILLISECS_PER_BLOCK.saturating_mul(blocks.into()))
}

/// A length of time in its two largest units, as `3d 4h`.
pub fn rough(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let first = units.iter().position(|(size, _)| seconds >= *size).unwrap_or(units.len() - 1);
    let mut rest = seconds;
    let parts = units.iter().skip(first).take(2).filter_map(|(size, unit)| {
        let count = rest.checked_div(*size).unwrap_or_default();
        rest = rest.saturating_sub(count.saturating_mul(*size));
        (count > 0 || seconds == 0).then(|| format!("{count}{unit}"))
    });
    parts.collect::<Vec<_>>().join(" ")
}

/// How large a VM is, in a few words.
pub fn size(resources: &Resources) -> String {
    let Resources { vcpus, memory_mib, disk_gib } = resources;
    format!("{vcpus} vCPU, {}, {disk_gib} GiB disk", memory(*memory_mib))
}

/// Thousandths, in percent.
pub fn percent(permille: u32) -> String {
    format!("{}.{} %", permille / 10, permille % 10)
}

/// So many MiB, in GiB where that is shorter.
pub fn memory(mib: u32) -> String {
    match mib {
        _ if mib >= 1_024 && mib.is_multiple_of(1_024) => format!("{} GiB", mib / 1_024),
        _ if mib >= 10_240 => format!("{:.1} GiB", f64::from(mib) / 1_024.0),
        _ => format!("{mib} MiB"),
    }
}

/// A size of memory as people write it, in MiB: `512M`, `2G`, `2GiB`; a bare number is in MiB.
pub fn parse_memory(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?} is no size of memory: write it as 512M or 2G");
    let lower = text.trim().to_ascii_lowercase();
    let number = lower.trim_end_matches("ib").trim_end_matches('b');
    let (number, factor) = match (number.strip_suffix('g'), number.strip_suffix('m')) {
        (Some(number), _) => (number, 1_024),
        (_, Some(number)) => (number, 1),
        _ => (number, 1),
    };
    let number: u32 = number.trim().parse().map_err(|_| wrong())?;
    number.checked_mul(factor).filter(|mib| *mib > 0).ok_or_else(wrong)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn money_is_shown_without_needless_digits_and_read_back() {
        for (plancks, text) in [
            (0, "0"),
            (1, "0.000000000001"),
            (QRY, "1"),
            (1_234_500_000_000, "1.2345"),
            (Balance::MAX / QRY * QRY, "340282366920938463463374607"),
        ] {
            assert_eq!(Qry(plancks).to_string(), text);
            assert_eq!(text.parse(), Ok(Qry(plancks)));
        }
        assert_eq!("2.50 QRY".parse(), Ok(Qry(2_500_000_000_000)));
    }

    #[test]
    fn what_is_no_money_is_refused() {
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "QRY", "0x10", "1 000"] {
            assert!(text.parse::<Qry>().is_err(), "{text}");
        }
        assert!("0.0000000000001".parse::<Qry>().unwrap_err().contains("12 decimal places"));
        assert!("340282366920938463463374608".parse::<Qry>().is_err());
    }

    #[test]
    fn prices_are_per_hour_and_month() {
        let price = Price::per_block(3_000_000);
        assert_eq!(price.to_string(), "0.0018 QRY an hour, 1.296 a month");
        assert_eq!(per_block(price.hour), 3_000_000);
        assert_eq!(per_block(Qry(599)), 0);
    }

    #[test]
    fn time_becomes_blocks_the_last_one_begun() {
        assert_eq!("24h".parse::<Span>().unwrap().blocks(), Some(14_400));
        assert_eq!("7s".parse::<Span>().unwrap().blocks(), Some(2));
        assert_eq!("900000years".parse::<Span>().unwrap().blocks(), None);
        for text in ["", "24", "0s", "soon", "-1h"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn time_is_told_in_its_two_largest_units() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (61, "1m 1s"), (3_600, "1h"), (90_061, "1d 1h")]
        {
            assert_eq!(rough(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn memory_is_read_in_mib_and_gib() {
        for (text, mib) in
            [("512", 512), ("512M", 512), ("2G", 2_048), ("2GiB", 2_048), ("1gb", 1_024)]
        {
            assert_eq!(parse_memory(text), Ok(mib));
        }
        for text in ["", "0", "G", "1T", "-1G", "1.5G", "9999999G"] {
            assert!(parse_memory(text).is_err(), "{text}");
        }
        assert_eq!((memory(512), memory(2_048)), ("512 MiB".into(), "2 GiB".into()));
    }
}
