//! Tests by topic.

mod acts;
mod creation;
