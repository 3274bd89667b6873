"""Starting workflows and children: checked, committed, then published."""
