# SPDX-License-Identifier: Apache-2.0
"""What must hold between the parts of a model, a module for each subject. Each check is a generator of
problems, and leaves references that lead nowhere to `references`.
"""
