//! One name everywhere, and documents that say what the code does: what no compiler checks.

mod documents;
mod interfaces;
mod layers;
mod names;
mod project;
mod sources;
