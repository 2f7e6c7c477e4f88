"""The leaderboard: a Gradio app that shows a board and counts nothing itself."""
