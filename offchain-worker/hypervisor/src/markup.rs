use quick_xml::{
    events::{BytesEnd, BytesStart, BytesText, Event},
    Writer,
};
use std::io;

/// XML, written element by element, everything escaped.
pub(crate) struct Markup(Writer<Vec<u8>>);

type Attributes<'a> = &'a [(&'a str, &'a str)];

impl Markup {
    /// The document that `write` writes.
    pub(crate) fn document(write: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<String> {
        let mut markup = Self(Writer::new_with_indent(Vec::new(), b' ', 2));
        write(&mut markup)?;
        String::from_utf8(markup.0.into_inner()).map_err(io::Error::other)
    }

    /// `<name attributes/>`
    pub(crate) fn empty(&mut self, name: &str, attributes: Attributes<'_>) -> io::Result<()> {
        let start = BytesStart::new(name).with_attributes(attributes.iter().copied());
        self.0.write_event(Event::Empty(start))
    }

    /// `<name attributes>text</name>`
    pub(crate) fn text(
        &mut self,
        name: &str,
        attributes: Attributes<'_>,
        text: &str,
    ) -> io::Result<()> {
        self.nest(name, attributes, |inner| inner.0.write_event(Event::Text(BytesText::new(text))))
    }

    /// `<name attributes>…</name>`
    pub(crate) fn nest(
        &mut self,
        name: &str,
        attributes: Attributes<'_>,
        inner: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        let start = BytesStart::new(name).with_attributes(attributes.iter().copied());
        self.0.write_event(Event::Start(start))?;
        inner(self)?;
        self.0.write_event(Event::End(BytesEnd::new(name)))
    }
}
