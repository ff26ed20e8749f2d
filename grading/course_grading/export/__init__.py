"""The platforms' formats: rosters in; scores, feedback pages and questions out."""
