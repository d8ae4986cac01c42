//! How a cost grows with the components of a call.

use crate::Component;

/// A component that changes a cost by less than one part in this many does not stand out from the
/// noise of measuring, and would come and go between two runs.
const NOISE: u128 = 50;

/// A straight line over the components of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What it costs when all components are nought.
    pub base: u128,
    /// What one more of each component adds, in the order of the components.
    pub slopes: Vec<u128>,
}

impl Line {
    /// The cost at a point.
    pub fn at(&self, point: &[u32]) -> u128 {
        let grown = self.slopes.iter().zip(point).map(|(slope, value)| slope * u128::from(*value));
        self.base + grown.sum::<u128>()
    }

    /// The line, raised where it is under what was seen: counts are exact, so none may be above it.
    pub fn covering<'a>(mut self, seen: impl Iterator<Item = (&'a [u32], u32)>) -> Self {
        let missing = seen.map(|(point, count)| u128::from(count).saturating_sub(self.at(point)));
        self.base += missing.max().unwrap_or_default();
        self
    }

    /// The line without the slopes that are noise. The base takes the most that they might add.
    pub fn without_noise(mut self, components: &[Component]) -> Self {
        let highest: Vec<u32> = components.iter().map(|component| component.high).collect();
        let least_change = self.at(&highest) / NOISE;
        for (slope, component) in self.slopes.iter_mut().zip(components) {
            if *slope * u128::from(component.high.saturating_sub(component.low)) < least_change {
                self.base += *slope * u128::from(component.high);
                *slope = 0;
            }
        }
        self
    }

    /// The line with no more digits than measuring can vouch for.
    pub fn rounded_up(mut self) -> Self {
        for number in self.slopes.iter_mut().chain([&mut self.base]) {
            let digits = number.checked_ilog10().unwrap_or_default();
            *number = number.next_multiple_of(10u128.pow(digits.saturating_sub(2)));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(base: u128, slopes: &[u128]) -> Line {
        Line { base, slopes: slopes.into() }
    }

    fn to(high: u32) -> Component {
        Component { name: "n".into(), low: 0, high }
    }

    #[test]
    fn no_count_is_above_the_line() {
        let seen = [([0].as_slice(), 1), (&[1], 4), (&[2], 5)];
        assert_eq!(line(1, &[2]).covering(seen.into_iter()), line(2, &[2]));
        assert_eq!(line(9, &[2]).covering(seen.into_iter()), line(9, &[2]));
    }

    #[test]
    fn a_slope_within_the_noise_goes_into_the_base() {
        assert_eq!(line(1_000, &[1]).without_noise(&[to(10)]), line(1_010, &[0]));
        assert_eq!(line(1_000, &[1]).without_noise(&[to(100)]), line(1_000, &[1]));
    }

    #[test]
    fn three_digits_stay_and_nothing_is_rounded_down() {
        assert_eq!(
            line(12_345_678, &[999, 1_001, 0]).rounded_up(),
            line(12_400_000, &[999, 1_010, 0])
        );
    }
}
