//! Departments and their people, cached: see [`crate::tiers`].

mod id;
mod item;
mod profile;
mod service;

pub use id::{DepartmentId, DepartmentIdKind};
pub use profile::{Department, DepartmentStatus, I18nName, Leader};
pub use service::DepartmentService;
