//! Real processes over real servers, some of which are taken away.
