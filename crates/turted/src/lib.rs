//! turted.
