"""The journal: the record of grants, denials and endings, which is folded, summed, read and removed here."""
