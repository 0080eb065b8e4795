//! States as a function of recorded events and the present time.
