"""What leaves for the Hub and for other tools: exports of results and boards, publishing, checks of pull requests."""
