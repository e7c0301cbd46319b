"""Records orchestration histories and replays them against today's code. Development and tests only."""
