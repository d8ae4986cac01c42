//! What a node gives and for how much, as miners say it: in QRY an hour.

use crate::{
    commands::nodes::{country, country_text},
    units::{self, memory, Price, Qry},
};
use quarry_primitives::{
    node::{Country, Offer},
    resources::{Rates, Resources},
    Balance, TOKEN_SYMBOL,
};
use serde::Serialize;

/// What a VM of a usual size then costs is near to what others ask.
pub const USUAL_RATES: Rates =
    Rates { vcpu: 1_000_000, memory_gib: 500_000, disk_gib: 10_000, ip: 250_000 };

/// What of an offer is given on the command line.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Wanted {
    /// Where the node stands, as SE.
    #[arg(long, value_name = "CC", value_parser = country)]
    pub country: Option<Country>,
    /// The price of a vCPU, in QRY an hour.
    #[arg(long, value_name = "QRY", value_parser = rate)]
    pub vcpu_rate: Option<Rate>,
    /// The price of a GiB of memory, in QRY an hour.
    #[arg(long, value_name = "QRY", value_parser = rate)]
    pub memory_rate: Option<Rate>,
    /// The price of a GiB of disk, in QRY an hour.
    #[arg(long, value_name = "QRY", value_parser = rate)]
    pub disk_rate: Option<Rate>,
    /// The price of an address of the node's own pool, in QRY an hour.
    #[arg(long, value_name = "QRY", value_parser = rate)]
    pub address_rate: Option<Rate>,
    /// How many vCPUs it gives.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub vcpus: Option<u16>,
    /// How much memory it gives, as 32G.
    #[arg(long, value_name = "SIZE", value_parser = units::parse_memory)]
    pub memory: Option<u32>,
    /// How many GiB of disk it gives.
    #[arg(long, value_name = "GIB", value_parser = clap::value_parser!(u32).range(1..))]
    pub disk: Option<u32>,
    /// How many VMs it takes at the most.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_vms: Option<u32>,
    /// Whether the operators' common pool of addresses is routed to it.
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub global_ips: Option<bool>,
}

impl Wanted {
    /// Whether nothing is given.
    pub fn is_empty(&self) -> bool {
        let Self { country, vcpu_rate, memory_rate, disk_rate, address_rate, .. } = self;
        let rates = [vcpu_rate, memory_rate, disk_rate, address_rate];
        let sizes = [self.memory, self.disk, self.max_vms, self.vcpus.map(u32::from)];
        country.is_none()
            && rates.iter().all(|rate| rate.is_none())
            && sizes.iter().all(|size| size.is_none())
            && self.global_ips.is_none()
    }

    /// Another offer: what is given in place of what was.
    pub fn over(&self, offer: &Offer) -> Offer {
        let Offer { capacity, rates, country, max_vms, global_ips } = offer;
        let or = |rate: Option<Rate>, otherwise| rate.map_or(otherwise, |Rate(rate)| rate);
        Offer {
            capacity: Resources {
                vcpus: self.vcpus.unwrap_or(capacity.vcpus),
                memory_mib: self.memory.unwrap_or(capacity.memory_mib),
                disk_gib: self.disk.unwrap_or(capacity.disk_gib),
            },
            rates: Rates {
                vcpu: or(self.vcpu_rate, rates.vcpu),
                memory_gib: or(self.memory_rate, rates.memory_gib),
                disk_gib: or(self.disk_rate, rates.disk_gib),
                ip: or(self.address_rate, rates.ip),
            },
            country: self.country.unwrap_or(*country),
            max_vms: self.max_vms.unwrap_or(*max_vms),
            global_ips: self.global_ips.unwrap_or(*global_ips),
        }
    }
}

/// A price per block, given in QRY an hour.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate(pub Balance);

/// QRY an hour, which the chain counts by the block.
pub fn rate(text: &str) -> Result<Rate, String> {
    let hour: Qry = text.parse()?;
    match units::per_block(hour) {
        0 if hour.0 > 0 => {
            let least = Price::per_block(1).hour.with_symbol();
            Err(format!("the least that can be asked is {least} an hour, or 0 for nothing"))
        }
        rate => Ok(Rate(rate)),
    }
}

/// Rates in QRY an hour.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct RatesView {
    /// Of a vCPU.
    pub vcpu: Qry,
    /// Of a GiB of memory.
    pub memory_gib: Qry,
    /// Of a GiB of disk.
    pub disk_gib: Qry,
    /// Of an address.
    pub address: Qry,
}

impl From<&Rates> for RatesView {
    fn from(rates: &Rates) -> Self {
        let hour = |rate| Price::per_block(rate).hour;
        Self {
            vcpu: hour(rates.vcpu),
            memory_gib: hour(rates.memory_gib),
            disk_gib: hour(rates.disk_gib),
            address: hour(rates.ip),
        }
    }
}

impl RatesView {
    /// In a line.
    pub fn words(&self) -> String {
        let Self { vcpu, memory_gib, disk_gib, address } = self;
        format!(
            "{vcpu} {TOKEN_SYMBOL} an hour for a vCPU, {memory_gib} for a GiB of memory, {disk_gib} for a \
             GiB of disk, {address} for an address"
        )
    }
}

/// An offer, for people and programs.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct OfferView {
    /// What it gives.
    pub capacity: Resources,
    /// In QRY an hour.
    pub rates: RatesView,
    /// Where it stands.
    pub country: String,
    /// The most VMs.
    pub max_vms: u32,
    /// Whether the operators' common pool is routed to it.
    pub global_ips: bool,
}

impl From<&Offer> for OfferView {
    fn from(offer: &Offer) -> Self {
        Self {
            capacity: offer.capacity,
            rates: (&offer.rates).into(),
            country: country_text(&offer.country),
            max_vms: offer.max_vms,
            global_ips: offer.global_ips,
        }
    }
}

impl OfferView {
    /// Each part's name and value.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let Resources { vcpus, memory_mib, disk_gib } = self.capacity;
        let global = if self.global_ips { "yes" } else { "no" };
        vec![
            ("country", self.country.clone()),
            ("vCPUs", vcpus.to_string()),
            ("memory", memory(memory_mib)),
            ("disk", format!("{disk_gib} GiB")),
            ("most VMs", self.max_vms.to_string()),
            ("vCPU an hour", self.rates.vcpu.with_symbol()),
            ("GiB of memory an hour", self.rates.memory_gib.with_symbol()),
            ("GiB of disk an hour", self.rates.disk_gib.with_symbol()),
            ("address an hour", self.rates.address.with_symbol()),
            ("common addresses", global.to_owned()),
        ]
    }
}

/// The country in what an operator wrote of the place, as in `Stockholm, SE`.
pub fn country_in(geolocation: &str) -> Option<Country> {
    let last = geolocation.rsplit([' ', ',', '/']).next()?;
    let country = Country(last.as_bytes().try_into().ok()?);
    country.is_sound().then_some(country)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn offer() -> Offer {
        Offer {
            capacity: Resources { vcpus: 8, memory_mib: 16_384, disk_gib: 200 },
            rates: USUAL_RATES,
            country: Country(*b"SE"),
            max_vms: 8,
            global_ips: false,
        }
    }

    #[test]
    fn only_what_is_given_changes() {
        assert!(Wanted::default().is_empty());
        assert_eq!(Wanted::default().over(&offer()), offer());
        let wanted =
            Wanted { vcpus: Some(4), disk_rate: Some(rate("0.006").unwrap()), ..Wanted::default() };
        assert!(!wanted.is_empty());
        let changed = wanted.over(&offer());
        assert_eq!((changed.capacity.vcpus, changed.rates.disk_gib), (4, 10_000_000));
        let back = Offer { capacity: offer().capacity, rates: offer().rates, ..changed };
        assert_eq!(back, offer());
    }

    #[test]
    fn rates_are_by_the_hour_and_never_too_small_to_count() {
        assert_eq!(rate("0.0006"), Ok(Rate(1_000_000)));
        assert_eq!(rate("0"), Ok(Rate(0)));
        assert!(rate("0.000000000599").unwrap_err().contains("0.0000000006 QRY"));
        for text in ["", "-1", "1e3", "1000000000000000000000000000000"] {
            assert!(rate(text).is_err(), "{text}");
        }
        let rates = RatesView::from(&USUAL_RATES);
        assert_eq!(rates.vcpu.to_string(), "0.0006");
        assert_eq!(rates.disk_gib.to_string(), "0.000006");
    }

    #[test]
    fn a_place_may_end_with_its_country() {
        assert_eq!(country_in("Stockholm, SE"), Some(Country(*b"SE")));
        assert_eq!(country_in("SE"), Some(Country(*b"SE")));
        for place in ["", "Stockholm", "59.3,18.1", "Stockholm, se"] {
            assert_eq!(country_in(place), None, "{place}");
        }
    }
}
