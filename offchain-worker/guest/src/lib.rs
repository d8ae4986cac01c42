//! What a guest learns at its first start: a NoCloud seed with keys, name and addresses.
