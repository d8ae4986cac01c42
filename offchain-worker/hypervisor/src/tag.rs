//! Tags as XML, in a namespace of our own.

use crate::{domain::Tag, error::Error, markup::Markup};
use roxmltree::{Document, Node};
use std::{fmt::Write, io, str::FromStr};

/// The namespace of our metadata.
pub(crate) const NAMESPACE: &str = "https://quarry.network/vm/1";
/// The prefix that stands for it.
pub(crate) const PREFIX: &str = "quarry";
const ELEMENT: &str = "vm";
const NODE_ID_BYTES: usize = 64;

const ATTRIBUTES: [&str; 7] =
    ["genesis", "node", "request", "birth", "assignment", "generation", "seen"];

/// Why metadata in our namespace is no tag of ours.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("its metadata in our namespace is no tag: {0}")]
pub(crate) struct Malformed(String);

/// Refuses what could not be read back.
pub(crate) fn check(tag: &Tag) -> Result<(), Error> {
    let node = &tag.node_id;
    if node.is_empty() || node.len() > NODE_ID_BYTES || node.chars().any(char::is_control) {
        return Err(Error::Unsound(format!(
            "a node's id has 1 to {NODE_ID_BYTES} bytes and no control characters"
        )));
    }
    Ok(())
}

/// The element that stands in a domain's `<metadata>`.
pub(crate) fn write(markup: &mut Markup, tag: &Tag) -> io::Result<()> {
    let declaration = format!("xmlns:{PREFIX}");
    let values = values(tag);
    let mut attributes = vec![(declaration.as_str(), NAMESPACE)];
    attributes.extend(ATTRIBUTES.into_iter().zip(values.iter().map(String::as_str)));
    markup.empty(&format!("{PREFIX}:{ELEMENT}"), &attributes)
}

/// The element as `virDomainSetMetadata` takes it, which adds the namespace itself.
pub(crate) fn fragment(tag: &Tag) -> Result<String, Error> {
    check(tag)?;
    let values = values(tag);
    let attributes: Vec<_> =
        ATTRIBUTES.into_iter().zip(values.iter().map(String::as_str)).collect();
    Markup::document(|markup| markup.empty(ELEMENT, &attributes))
        .map_err(|error| Error::Unsound(error.to_string()))
}

fn values(tag: &Tag) -> [String; 7] {
    [
        hex(&tag.genesis),
        tag.node_id.clone(),
        tag.request_id.to_string(),
        hex(&tag.birth),
        tag.assignment.to_string(),
        tag.generation.to_string(),
        tag.seen.to_string(),
    ]
}

/// Reads what `virDomainGetMetadata` returns; it leaves the namespace out.
pub(crate) fn parse(xml: &str) -> Result<Tag, Malformed> {
    let document = Document::parse(xml).map_err(|error| Malformed(error.to_string()))?;
    let element = document.root_element();
    let name = element.tag_name();
    if name.name() != ELEMENT || !matches!(name.namespace(), None | Some(NAMESPACE)) {
        return Err(Malformed(format!("the element is <{}>", name.name())));
    }
    let odd_attribute =
        element.attributes().any(|attribute| !ATTRIBUTES.contains(&attribute.name()));
    let odd_content =
        element.children().any(|child| !child.text().is_some_and(|text| text.trim().is_empty()));
    if odd_attribute || odd_content {
        return Err(Malformed("it says more than a tag".into()));
    }
    let tag = Tag {
        genesis: bytes(element, "genesis")?,
        node_id: attribute(element, "node")?.to_owned(),
        request_id: number(element, "request")?,
        birth: bytes(element, "birth")?,
        assignment: number(element, "assignment")?,
        generation: number(element, "generation")?,
        seen: number(element, "seen")?,
    };
    check(&tag).map_err(|error| Malformed(error.to_string()))?;
    Ok(tag)
}

fn attribute<'a>(element: Node<'a, '_>, name: &str) -> Result<&'a str, Malformed> {
    element.attribute(name).ok_or_else(|| Malformed(format!("{name} is missing")))
}

fn number<T: FromStr + ToString>(element: Node<'_, '_>, name: &str) -> Result<T, Malformed> {
    let text = attribute(element, name)?;
    text.parse()
        .ok()
        .filter(|number: &T| number.to_string() == text)
        .ok_or_else(|| Malformed(format!("{name} is no number")))
}

fn bytes(element: Node<'_, '_>, name: &str) -> Result<[u8; 32], Malformed> {
    let text = attribute(element, name)?;
    unhex(text).ok_or_else(|| Malformed(format!("{name} is no hash")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
mod tests {
    use super::*;

    fn tag() -> Tag {
        Tag {
            genesis: [0xab; 32],
            node_id: "hütte <1> & \"co\"".into(),
            request_id: u128::MAX,
            birth: [7; 32],
            assignment: 3,
            generation: u64::MAX,
            seen: 12,
        }
    }

    #[test]
    fn a_tag_reads_back_as_it_was_written_with_and_without_its_namespace() {
        let whole = Markup::document(|markup| write(markup, &tag())).unwrap();
        assert_eq!(parse(&whole), Ok(tag()));
        assert_eq!(parse(&fragment(&tag()).unwrap()), Ok(tag()));
    }

    #[test]
    fn metadata_that_is_not_exactly_a_tag_is_refused() {
        let good = fragment(&tag()).unwrap();
        let bad = [
            good.replace("<vm", "<cattle"),
            good.replace("<vm", "<vm xmlns='urn:else'"),
            good.replace("seen=\"12\"", ""),
            good.replace("seen=\"12\"", "seen=\"+12\""),
            good.replace("seen=\"12\"", "seen=\"012\""),
            good.replace("seen=\"12\"", "seen=\"4294967296\""),
            good.replace("seen=\"12\"", "seen=\"12\" more=\"1\""),
            good.replace("abab", "ABAB"),
            good.replace("abab", "ab"),
            good.replace("/>", "><more/></vm>"),
            good.replace("/>", ">more</vm>"),
            good.replace("node=\"", "node=\"&#10;"),
            format!("<!DOCTYPE vm [<!ENTITY a 'b'>]>{good}"),
            String::new(),
        ];
        for xml in bad {
            assert!(parse(&xml).is_err(), "{xml}");
        }
    }

    #[test]
    fn a_node_id_that_could_not_be_read_back_is_not_written() {
        for node_id in ["", "a\nb", "a\0b", &"x".repeat(65)] {
            let tag = Tag { node_id: node_id.into(), ..tag() };
            assert!(matches!(fragment(&tag), Err(Error::Unsound(_))));
        }
    }
}
