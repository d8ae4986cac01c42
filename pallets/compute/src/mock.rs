//! The chain of the tests.
