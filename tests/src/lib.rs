//! Integration, fault and performance tests.
