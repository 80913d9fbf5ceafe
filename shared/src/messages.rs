//! Messages: what a caller may send and to whom, checked before anything is asked of the platform.

pub mod cards;
pub mod content;
mod problems;
mod receiver;
mod timing;

pub use problems::{Path, Problems};
pub use receiver::{Receiver, ReceiverFields};
pub use timing::{Timing, TimingFields, lane_schema};
