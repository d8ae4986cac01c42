//! Golden XML.
