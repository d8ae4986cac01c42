//! Where to measure.

use crate::Component;

/// The values of the components to measure at: each in turn goes over its range in `steps` while the
/// others are at their highest. Without components, the same empty point as often.
pub fn points(components: &[Component], steps: u32) -> Vec<Vec<u32>> {
    if components.is_empty() {
        return (0..steps).map(|_| Vec::new()).collect();
    }
    let moving = |(place, component): (usize, &Component)| {
        let values = range(component, steps);
        values.into_iter().map(move |value| point(components, place, value))
    };
    components.iter().enumerate().flat_map(moving).collect()
}

fn point(components: &[Component], moving: usize, value: u32) -> Vec<u32> {
    let highest = components.iter().map(|component| component.high).enumerate();
    highest.map(|(place, high)| if place == moving { value } else { high }).collect()
}

fn range(component: &Component, steps: u32) -> Vec<u32> {
    let width = u64::from(component.high.saturating_sub(component.low));
    let intervals = u64::from(steps).saturating_sub(1).clamp(1, width.max(1));
    let mut values: Vec<u32> = (0..=intervals)
        .map(|step| u64::from(component.low) + width * step / intervals)
        .filter_map(|value| value.try_into().ok())
        .collect();
    values.dedup();
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(name: &str, low: u32, high: u32) -> Component {
        Component { name: name.into(), low, high }
    }

    #[test]
    fn a_call_without_components_is_measured_as_often_as_one_with() {
        assert_eq!(points(&[], 3), [[]; 3] as [[u32; 0]; 3]);
    }

    #[test]
    fn one_component_moves_while_the_others_are_at_their_highest() {
        let components = [component("a", 0, 10), component("b", 5, 7)];
        assert_eq!(points(&components, 3), [[0, 7], [5, 7], [10, 7], [10, 5], [10, 6], [10, 7]]);
    }

    #[test]
    fn a_narrow_range_is_measured_at_each_of_its_values_once() {
        assert_eq!(points(&[component("a", 1, 3)], 20), [[1], [2], [3]]);
        assert_eq!(points(&[component("a", 4, 4)], 20), [[4]]);
    }

    #[test]
    fn the_widest_range_is_measured_to_its_end() {
        assert_eq!(points(&[component("a", 0, u32::MAX)], 2), [[0], [u32::MAX]]);
    }
}
