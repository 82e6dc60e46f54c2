from unrendered import unrendered as unrendered
