//! Departments and their people, cached: see [`crate::directory::tiers`].

mod item;
mod service;

pub use service::DepartmentService;
