"""One file per measurement: it trains, measures and writes results/NAME.json, protocol included."""
