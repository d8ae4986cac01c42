//! What guests may send and receive.
//!
//! Frames pass two lists, and both must let them through: one of single frames (who speaks, and in which
//! protocol), and one that knows connections (where to). Each is read by priority.

use crate::{
    error::{Error, Result},
    markup::Markup,
    sound, FilterPolicy,
};
use std::{io, net::IpAddr};
use uuid::Uuid;

/// Where nobody on the internet is.
const PRIVATE_V4: [(&str, u8); 10] = [
    ("0.0.0.0", 8),
    ("10.0.0.0", 8),
    ("100.64.0.0", 10),
    ("127.0.0.0", 8),
    ("169.254.0.0", 16),
    ("172.16.0.0", 12),
    ("192.0.0.0", 24),
    ("192.168.0.0", 16),
    ("198.18.0.0", 15),
    ("224.0.0.0", 3),
];
/// All of IPv6 that is on the internet.
const PUBLIC_V6: (&str, u8) = ("2000::", 3);
const LINK_LOCAL: (&str, u8) = ("fe80::", 10);
const SOLICITED_NODES: (&str, u8) = ("ff02::1:ff00:0", 104);

const SOLICITATION: &str = "135";
const ADVERTISEMENT: &str = "136";
const ROUTER_ADVERTISEMENT: &str = "134";
const DNS: &str = "53";
const DHCP_SERVER: &str = "67";
const DHCPV6_SERVER: &str = "547";

type Attributes<'a> = &'a [(&'a str, &'a str)];

/// The XML of the filter; guests give it their `$MAC`, `$IP` and `$IPV6`. It replaces that of the same id.
pub(crate) fn filter_xml(policy: &FilterPolicy, replaced: Option<Uuid>) -> Result<String> {
    sound::name("the filter's name", &policy.name)?;
    for (network, length) in policy.allow.iter().chain(&policy.deny) {
        let longest = if network.is_ipv4() { 32 } else { 128 };
        if *length > longest {
            return Err(Error::Unsound(format!("{network}/{length} is no network")));
        }
    }
    Markup::document(|markup| {
        markup.nest("filter", &[("name", &policy.name), ("chain", "root")], |filter| {
            if let Some(uuid) = replaced {
                filter.text("uuid", &[], &uuid.to_string())?;
            }
            let mut rules = Rules { filter };
            rules.own_card_only()?;
            rules.arp(policy)?;
            rules.frames_v4()?;
            rules.frames_v6(policy)?;
            rules.nothing_else()?;
            rules.connections(policy)
        })
    })
    .map_err(|error| Error::Unsound(error.to_string()))
}

struct Rules<'a> {
    filter: &'a mut Markup,
}

impl Rules<'_> {
    fn rule(
        &mut self,
        (action, direction, priority): (&str, &str, &str),
        protocol: &str,
        matches: Attributes<'_>,
    ) -> io::Result<()> {
        let head = [("action", action), ("direction", direction), ("priority", priority)];
        self.filter.nest("rule", &head, |rule| rule.empty(protocol, matches))
    }

    fn own_card_only(&mut self) -> io::Result<()> {
        let other = [("match", "no"), ("srcmacaddr", "$MAC")];
        self.rule(("drop", "out", "-900"), "mac", &other)
    }

    /// Questions go to the gateways and to what is allowed, answers to whoever asked.
    fn arp(&mut self, policy: &FilterPolicy) -> io::Result<()> {
        let own = [("arpsrcmacaddr", "$MAC"), ("arpsrcipaddr", "$IP")];
        let networks =
            policy.services.iter().map(|address| (*address, 32)).chain(policy.allow.clone());
        for (address, length) in networks.filter(|(address, _)| address.is_ipv4()) {
            let (address, length) = (address.to_string(), length.to_string());
            let mut question = own.to_vec();
            question.extend([
                ("opcode", "Request"),
                ("arpdstipaddr", &address),
                ("arpdstipmask", &length),
            ]);
            self.rule(("accept", "out", "-800"), "arp", &question)?;
        }
        let mut answer = own.to_vec();
        answer.push(("opcode", "Reply"));
        self.rule(("accept", "out", "-790"), "arp", &answer)?;
        self.rule(("accept", "in", "-800"), "arp", &[("arpdstipaddr", "$IP")])
    }

    fn frames_v4(&mut self) -> io::Result<()> {
        let dhcp = [("protocol", "udp"), ("srcportstart", DHCP_SERVER)];
        self.rule(("drop", "out", "-700"), "ip", &dhcp)?;
        self.rule(("accept", "out", "-600"), "ip", &[("srcipaddr", "$IP")])?;
        self.rule(("accept", "in", "-600"), "ip", &[("dstipaddr", "$IP")])
    }

    fn frames_v6(&mut self, policy: &FilterPolicy) -> io::Result<()> {
        let dhcp = [("protocol", "udp"), ("srcportstart", DHCPV6_SERVER)];
        self.rule(("drop", "out", "-700"), "ipv6", &dhcp)?;
        let router = [("protocol", "icmpv6"), ("type", ROUTER_ADVERTISEMENT)];
        // A guest's addresses are what its seed says, so it is told of no others.
        self.rule(("drop", "inout", "-700"), "ipv6", &router)?;
        self.neighbours(policy)?;
        for kind in ["130", "131", "132", "133", SOLICITATION, ADVERTISEMENT, "137", "143"] {
            let message = [("protocol", "icmpv6"), ("type", kind)];
            self.rule(("drop", "out", "-650"), "ipv6", &message)?;
        }
        let multicast = [("dstipaddr", "ff00::"), ("dstipmask", "8")];
        self.rule(("drop", "out", "-640"), "ipv6", &multicast)?;
        self.rule(("accept", "out", "-600"), "ipv6", &[("srcipaddr", "$IPV6")])?;
        self.rule(("accept", "in", "-600"), "ipv6", &[("dstipaddr", "$IPV6")])?;
        for (network, length) in [("fe80::", "10"), ("ff00::", "8")] {
            let matches = [
                ("dstipaddr", network),
                ("dstipmask", length),
                ("protocol", "icmpv6"),
                ("type", SOLICITATION),
                ("typeend", ADVERTISEMENT),
            ];
            self.rule(("accept", "in", "-600"), "ipv6", &matches)?;
        }
        Ok(())
    }

    /// A guest asks for the gateways, checks that its own address is free, and answers.
    fn neighbours(&mut self, policy: &FilterPolicy) -> io::Result<()> {
        let services = policy.services.iter().filter(|address| address.is_ipv6());
        let gateways = services.map(|address| (address.to_string(), "128".to_owned()));
        let solicited = (SOLICITED_NODES.0.to_owned(), SOLICITED_NODES.1.to_string());
        let questions: Vec<_> = gateways.clone().chain([solicited.clone()]).collect();
        let link_local = (LINK_LOCAL.0.to_owned(), LINK_LOCAL.1.to_string());
        let answers: Vec<_> = gateways.chain([link_local.clone()]).collect();
        for (kind, targets) in [(SOLICITATION, questions), (ADVERTISEMENT, answers)] {
            for (target, length) in targets {
                for source in [("$IPV6", None), (LINK_LOCAL.0, Some(link_local.1.as_str()))] {
                    self.neighbour(source, (&target, &length), kind)?;
                }
            }
        }
        self.neighbour(("::", None), (&solicited.0, &solicited.1), SOLICITATION)
    }

    fn neighbour(
        &mut self,
        source: (&str, Option<&str>),
        target: (&str, &str),
        kind: &str,
    ) -> io::Result<()> {
        let mut matches = vec![("srcipaddr", source.0)];
        matches.extend(source.1.map(|length| ("srcipmask", length)));
        matches.extend([
            ("dstipaddr", target.0),
            ("dstipmask", target.1),
            ("protocol", "icmpv6"),
            ("type", kind),
        ]);
        self.rule(("accept", "out", "-690"), "ipv6", &matches)
    }

    fn nothing_else(&mut self) -> io::Result<()> {
        self.rule(("drop", "inout", "-500"), "mac", &[])
    }

    fn connections(&mut self, policy: &FilterPolicy) -> io::Result<()> {
        for all in ["all", "all-ipv6"] {
            let answers = [("state", "ESTABLISHED,RELATED")];
            self.rule(("accept", "out", "100"), all, &answers)?;
        }
        // Which of them, the list of frames has said.
        for kind in [SOLICITATION, ADVERTISEMENT] {
            self.stateless(("accept", "out", "110"), "icmpv6", &[("type", kind)])?;
        }
        for service in &policy.services {
            self.service(service)?;
        }
        for (network, length) in &policy.allow {
            self.new_to("accept", "300", *network, *length)?;
        }
        for service in &policy.services {
            self.to("drop", "400", *service, if service.is_ipv4() { 32 } else { 128 })?;
        }
        for (network, length) in &policy.deny {
            self.to("drop", "410", *network, *length)?;
        }
        for (network, length) in PRIVATE_V4 {
            let length = length.to_string();
            let target = [("dstipaddr", network), ("dstipmask", length.as_str())];
            self.rule(("drop", "out", "420"), "all", &target)?;
        }
        self.rule(("accept", "out", "500"), "all", &[("state", "NEW")])?;
        let length = PUBLIC_V6.1.to_string();
        let internet =
            [("state", "NEW"), ("dstipaddr", PUBLIC_V6.0), ("dstipmask", length.as_str())];
        self.rule(("accept", "out", "500"), "all-ipv6", &internet)?;
        for all in ["all", "all-ipv6"] {
            self.rule(("drop", "out", "900"), all, &[])?;
        }
        Ok(())
    }

    /// Echo and names: what a gateway or a name server is for.
    fn service(&mut self, service: &IpAddr) -> io::Result<()> {
        let address = service.to_string();
        let (suffix, echo, kind) = match service {
            IpAddr::V4(_) => ("", "icmp", "8"),
            IpAddr::V6(_) => ("-ipv6", "icmpv6", "128"),
        };
        let head = ("accept", "out", "200");
        let to = [("state", "NEW"), ("dstipaddr", address.as_str())];
        self.rule(head, echo, &[to.as_slice(), &[("type", kind)]].concat())?;
        for protocol in ["udp", "tcp"] {
            let names = [to.as_slice(), &[("dstportstart", DNS)]].concat();
            self.rule(head, &format!("{protocol}{suffix}"), &names)?;
        }
        Ok(())
    }

    fn new_to(
        &mut self,
        action: &str,
        priority: &str,
        network: IpAddr,
        length: u8,
    ) -> io::Result<()> {
        let (network_text, length) = (network.to_string(), length.to_string());
        let target = [
            ("state", "NEW"),
            ("dstipaddr", network_text.as_str()),
            ("dstipmask", length.as_str()),
        ];
        self.rule((action, "out", priority), all(network), &target)
    }

    fn to(&mut self, action: &str, priority: &str, network: IpAddr, length: u8) -> io::Result<()> {
        let (network_text, length) = (network.to_string(), length.to_string());
        let target = [("dstipaddr", network_text.as_str()), ("dstipmask", length.as_str())];
        self.rule((action, "out", priority), all(network), &target)
    }

    fn stateless(
        &mut self,
        (action, direction, priority): (&str, &str, &str),
        protocol: &str,
        matches: Attributes<'_>,
    ) -> io::Result<()> {
        let head = [
            ("action", action),
            ("direction", direction),
            ("priority", priority),
            ("statematch", "false"),
        ];
        self.filter.nest("rule", &head, |rule| rule.empty(protocol, matches))
    }
}

fn all(network: IpAddr) -> &'static str {
    if network.is_ipv4() {
        "all"
    } else {
        "all-ipv6"
    }
}
