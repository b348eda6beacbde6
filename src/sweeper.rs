//! The sweeper: what happens to conversations when nobody texts.
