//! What is fuzzed of the media engine.

pub mod scene;
pub mod targets;
