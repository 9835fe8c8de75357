"""The whole chain as steps that are made once, remembered by the hash of what made them, and resumed."""
