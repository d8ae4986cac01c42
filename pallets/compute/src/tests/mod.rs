//! Tests by topic.

mod acts;
mod addresses;
mod api;
mod attacks;
mod catalogue;
mod claims;
mod coverage;
mod creation;
mod credits;
mod deadlines;
mod deletion;
mod ending;
mod evacuation;
mod exhaustion;
mod failures;
mod feeless;
mod genesis;
mod histories;
mod input;
mod launch;
mod lease;
mod operations;
mod params;
mod placement;
mod pools;
mod resize;
