//! Every function of Lark Service behind one local port.
